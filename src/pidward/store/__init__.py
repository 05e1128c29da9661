"""What pidward remembers over its own death: operators' wishes, facts about workers, and what happened.

SQLite in one file, written by one thread; the loop only hands over and never waits for a disk. ``rows`` says what is
kept, ``database`` is the only one that speaks SQL, ``store`` is the face.
"""
