"""What pidward decides, and nothing else.

Pure: no clock, no file, no process, no random number. Time comes in as an argument, facts come in as
events, wishes go out as actions. import-linter holds this package to it (pyproject.toml).
"""
