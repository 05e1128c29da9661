"""pidward measured beside its peers. Run as ``python -m bench``; see README.md."""
