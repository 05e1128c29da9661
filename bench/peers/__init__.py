"""One adapter a supervisor. See README.md for how to add one."""
