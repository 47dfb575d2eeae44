"""Configs of trainings, one short file a data set; an installed package has them by name."""
