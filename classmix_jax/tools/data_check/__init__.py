"""Tells what a data set holds and what is wrong with it, before the first step.

`survey.py` reads the files and counts, `report.py` puts that into words, `sheets.py` into
pictures; `program.py` joins them. `at_start.py` is the short check of every training.
"""
