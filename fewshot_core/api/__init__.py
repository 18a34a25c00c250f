"""The program for programs of other people: what ``import fewshot`` offers."""
