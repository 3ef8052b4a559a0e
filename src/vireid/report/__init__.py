"""Results for people: HTML pages that need no network, and tables for the terminal."""
