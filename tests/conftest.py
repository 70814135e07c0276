"""Shared by all tests: this folder is on the import path, so that tests can import ``golden``."""
