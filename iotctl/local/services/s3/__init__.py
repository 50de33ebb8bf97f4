"""Amazon S3, as far as artifacts need it: buckets, objects, multipart uploads, presigned URLs.

What an object holds is a file below `<state>/s3/`; everything else about it is a row of the store. A file has a name of
its own, never its key's, and becomes an object with the row that names it.
"""

from __future__ import annotations
