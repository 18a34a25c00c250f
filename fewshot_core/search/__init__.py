"""The search: its loop, its study and the strategies that ask."""
