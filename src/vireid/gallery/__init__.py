"""Galleries of embedded images, and what is asked of them: in a folder, on a Milvus server, behind a service."""
