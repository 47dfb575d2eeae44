"""Checks a data set before training: its files, masks and classes.

`survey.py` reads the files and counts, `report.py` formats tables and findings, `sheets.py` draws
figures, and `check_data.py` combines them.
"""
