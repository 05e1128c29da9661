"""What pidward is tested with, for the tests of those who build on it: simulated time, scripted lives, programs."""
