"""One page about a run, or about several side by side: report.html.

runs.py      what lies in a run's folder: config, metrics, evaluations
gallery.py   validation images with what a network sees in them; how often classes occur
charts.py    curves as SVG
page.py      all of it as one HTML file that needs nothing else; page.html is its frame
"""
