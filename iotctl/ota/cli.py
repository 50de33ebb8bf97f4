"""ota: plan · create · step · list · keygen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iotctl import options
from iotctl.errors import Exit
from iotctl.options import Ctx
from iotctl.result import Column, Result, Table

app = options.capability("ota", "Roll out artifacts and watch them land: signed, a few things first, then the fleet.")

PassphraseFile = Annotated[
    Path | None, typer.Option("--passphrase-file", metavar="FILE", help="The key's passphrase, its first line.")
]


@options.command(
    app,
    example="iotctl ota keygen --out signing.pem --trust pumps-fleet/trusted_keys.json\n"
    "iotctl ota keygen --out next.pem --type ec-p256 --passphrase-file passphrase",
    exits=(Exit.CONFLICT, Exit.INTEGRITY, Exit.LOCAL),
)
def keygen(
    ctx: Ctx,  # noqa: ARG001  every command has it
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The new private key (PEM, 0600).")],
    trust: Annotated[
        Path | None,
        typer.Option("--trust", metavar="FILE", help="The trust store to add it to [trusted_keys.json beside it]."),
    ] = None,
    kind: Annotated[str, typer.Option("--type", metavar="ed25519|ec-p256", help="The kind of key.")] = "ed25519",
    passphrase_file: PassphraseFile = None,
) -> Result:
    """Make a key that signs releases, and put its public half into the trust store that devices get."""
    from iotctl import trust as trust_store
    from iotctl.ota import keys

    store = trust or out.with_name(trust_store.FILE)
    key = keys.make(out, store, kind, keys.passphrase(passphrase_file))
    row = {"keyId": key.key_id, "keyFile": str(out), "trustStore": str(store)}
    return Result(
        row | {"publicKey": key.public_pem},
        Table((Column("keyId", "KEY"), Column("keyFile", "FILE"), Column("trustStore", "TRUST STORE")), [row]),
        notes=(f"devices that have {store} install what {out} signs; keep {out} where nothing else reads it",),
    )
