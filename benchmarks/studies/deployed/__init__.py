"""Whole searches, and the true accuracy of what they hand over."""
