"""The options that commands of onboard share; those of `plan` and `apply` as a dataclass, spread over both."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from iotctl.options import Option


class CertificateAuthority(StrEnum):
    """Whether the account knows the CA that signs the certificates."""

    NONE = "none"
    REGISTERED = "registered"


BundlesDir = Annotated[
    Path | None, Option("--bundles", metavar="DIR", help="Where the devices' bundles go (default: <FILE>-fleet).")
]
Policy = Annotated[
    str,
    Option("--policy", metavar="NAME|FILE", help="For rows that name none: a template that ships, a file, a policy."),
]
Delimiter = Annotated[str, Option("--delimiter", metavar="CHAR", help="Between the cells (TAB for a tab).")]
Renamed = Annotated[
    list[str] | None, Option("--map", metavar="THEIRS=OURS", help="The file's own name for one of our columns.")
]
Quotas = Annotated[
    list[str] | None,
    Option("--quota", metavar="OP=N", help="Calls a second that the account allows: RegisterThing=50."),
]
Limit = Annotated[
    int | None, Option("--limit", min=1, metavar="N", help="Only the first N rows; all of them are judged.")
]
PolicyOn = Annotated[
    str,
    Option(
        "--policy-on", metavar="certificate|group", help="group: where a group is this run's own or has the policy."
    ),
]
Adopt = Annotated[bool, Option("--adopt", help="Take over things that exist and that nobody has claimed.")]
NoClaim = Annotated[bool, Option("--no-claim", help="Do not keep the certificate's id in an attribute of the thing.")]
Verify = Annotated[bool, Option("--verify", help="Read again, thing by thing, what was done.")]
KeyType = Annotated[str, Option("--key-type", help="ec-p256, ec-p384, rsa-2048 or rsa-4096.")]
EncryptKeysTo = Annotated[
    str,
    Option("--encrypt-keys-to", metavar="FILE", help="A file with a passphrase: keys are encrypted; - for stdin."),
]
Ca = Annotated[CertificateAuthority, Option("--ca", help="registered: the account knows the fleet CA too.")]
CaCert = Annotated[
    str, Option("--ca-cert", metavar="FILE", help="A CA of your own signs, in place of one that is made: PEM.")
]
CaKeyFile = Annotated[
    str, Option("--ca-key-file", metavar="FILE", help="The key of --ca-cert (PEM, mode 0600); it stays where it is.")
]
CaPassphraseFile = Annotated[
    str,
    Option("--ca-passphrase-file", metavar="FILE", help="Of an encrypted --ca-key-file: its first line; - for stdin."),
]
Days = Annotated[int, Option("--valid-days", min=1, max=36500, help="How long the certificates are valid.")]


@dataclass(frozen=True)
class Words:
    """What `onboard plan` and `onboard apply` are told besides the file."""

    bundles: BundlesDir = None
    policy: Policy = "thing"
    delimiter: Delimiter = ","
    renamed: Renamed = None
    limit: Limit = None
    key_type: KeyType = "ec-p256"
    days: Days = 3650
    encrypt_keys_to: EncryptKeysTo = ""
    ca: Ca = CertificateAuthority.NONE
    ca_cert: CaCert = ""
    ca_key_file: CaKeyFile = ""
    ca_passphrase_file: CaPassphraseFile = ""
    policy_on: PolicyOn = "certificate"
    adopt: Adopt = False
    no_claim: NoClaim = False
    verify: Verify = False
    quotas: Quotas = None

    def given(self) -> dict[str, Any]:
        """The same, as `iotctl.onboard.request.Request` takes it."""
        return {
            "bundles": str(self.bundles) if self.bundles else None,
            "policy": self.policy,
            "delimiter": self.delimiter,
            "renamed": self.renamed or (),
            "limit": self.limit,
            "key_type": self.key_type,
            "days": self.days,
            "quotas": self.quotas or (),
            "policy_on": self.policy_on,
            "adopt": self.adopt,
            "claim": not self.no_claim,
            "verify": self.verify,
            "encrypt_keys_to": self.encrypt_keys_to,
            "registered_ca": self.ca is CertificateAuthority.REGISTERED,
            "ca_cert": self.ca_cert,
            "ca_key_file": self.ca_key_file,
            "ca_passphrase_file": self.ca_passphrase_file,
        }
