"""Galleries of embedded images, in a folder, on a Milvus server or behind a service, and queries on them."""
