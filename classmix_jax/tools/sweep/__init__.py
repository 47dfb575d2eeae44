"""Tables of several methods: a grid of trainings, what came out of them, how it is shown."""
