"""A real Milvus server (2.3.5, from PyPI) in a folder, beside whatever else runs on the machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def milvus_server(folder: Path, patience: float = 90) -> Iterator[str]:
    """Start a server that keeps everything in ``folder``; yield its address.

    The package lets every port but those of the etcd inside be chosen, so that a second server on a machine would not
    start: etcd gets a file of its own.
    """
    from milvus import MilvusServer, MilvusServerConfig

    folder.mkdir(parents=True, exist_ok=True)
    client, peer = free_port(), free_port()
    etcd = folder / "etcd.yaml"
    etcd.write_text(
        f"name: default\ndata-dir: {folder}/etcd\n"
        f"listen-client-urls: http://127.0.0.1:{client}\nadvertise-client-urls: http://127.0.0.1:{client}\n"
        f"listen-peer-urls: http://127.0.0.1:{peer}\ninitial-advertise-peer-urls: http://127.0.0.1:{peer}\n"
        f"initial-cluster: default=http://127.0.0.1:{peer}\n"
    )
    template = folder / "milvus.yaml.template"
    shipped = MilvusServerConfig()
    template.write_text(shipped.template_text.replace("etcd:\n", f"etcd:\n  config:\n    path: {etcd}\n", 1))
    config = MilvusServerConfig(template=str(template), data_dir=str(folder), etcd_port=client)
    config.glog_conf_file = shipped.glog_conf_file
    server = MilvusServer(config, wait_for_started=False)
    try:
        server.start()
        server.wait_started(patience * 1000)
        yield f"http://127.0.0.1:{server.listen_port}"
    finally:
        server.stop()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
