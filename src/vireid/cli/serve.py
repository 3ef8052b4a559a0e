"""The verbs `serve` and `token`."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from vireid.cli.options import print_tables
from vireid.types import Modality, VireidError

Store = Annotated[str, Parameter(help="Gallery: a folder, or the URL of a Milvus server.")]

token = App(name="token", help="Create, list and revoke the tokens for a service.")


def serve(
    store: Store,
    *,
    model: Annotated[str, Parameter(help="Run or other model that filled the gallery.")],
    host: Annotated[str, Parameter(help="Address to listen on; any address but the loopback requires tokens.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, Parameter(help="Port to listen on; 0 takes a free one.")] = 8765,
    certificate: Annotated[Path | None, Parameter(help="Certificate chain in PEM, for TLS.")] = None,
    key: Annotated[Path | None, Parameter(help="Private key of the certificate in PEM.")] = None,
    queue: Annotated[int, Parameter(help="Largest number of concurrent requests; further ones get status 429.")] = 64,
) -> None:
    """Serve a gallery: a page to search with, and a REST interface described at /docs.

    Example: `vireid serve people --model runs/demo`
    """
    try:
        from vireid.service.app import ServiceSettings
        from vireid.service.limits import Limits
        from vireid.service.server import Address
        from vireid.service.server import serve as run
    except ImportError as error:
        raise VireidError(f"{error.name} is not installed: install with pip install 'vireid[search]'") from error
    from vireid.deploy.load import load_model
    from vireid.gallery.store import open_gallery
    from vireid.gallery.thresholds import score_thresholds
    from vireid.service.tokens import state_folder

    address = Address(host, port, certificate, key)
    embedder = load_model(model)
    thresholds = {str(modality): score_thresholds(embedder.home, modality) for modality in Modality}
    gallery = open_gallery(store, through_service=False)
    try:
        settings = ServiceSettings(state_folder(store), thresholds=thresholds, limits=Limits(queue=queue))
        run(gallery, embedder, store, address, settings)
    finally:
        gallery.close()


@token.command(name="add")
def token_add(
    store: Store,
    name: Annotated[str, Parameter(help="Name of the holder; the audit log shows it.")],
    *,
    role: Annotated[
        Literal["search", "write", "admin"],
        Parameter(help="Role: search; write, to add as well; admin, to delete as well."),
    ] = "search",
    days: Annotated[float, Parameter(help="Days until the token expires.")] = 90,
) -> None:
    """Create a token and print it once; only its hash is kept.

    Example: `vireid token add people alice --role write`
    """
    from vireid.service.tokens import Role, Tokens, state_folder

    print(Tokens(state_folder(store)).add(name, Role[role.upper()], days))


@token.command(name="list")
def token_list(store: Store) -> None:
    """List tokens by name, role and expiry.

    Example: `vireid token list people`
    """
    from rich.table import Table

    from vireid.service.tokens import Tokens, state_folder

    table = Table("Name", "Role", "Expires (UTC)")
    for one in Tokens(state_folder(store)).stored():
        table.add_row(one.name, one.role, datetime.fromtimestamp(one.expires, timezone.utc).strftime("%Y-%m-%d %H:%M"))
    print_tables(table)


@token.command(name="revoke")
def token_revoke(store: Store, name: Annotated[str, Parameter(help="Name of the token.")]) -> None:
    """Revoke a token; a running service refuses it at once.

    Example: `vireid token revoke people alice`
    """
    from vireid.service.tokens import Tokens, state_folder

    Tokens(state_folder(store)).revoke(name)
