"""Tables of several methods: a grid of trainings, their results and their presentation."""
