"""What this tool needs of an AWS account."""
