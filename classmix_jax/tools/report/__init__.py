"""Reports on training runs: report.html, one page about a run or several side by side.

runs.py          reads a run's directory: config, metrics, evaluations
gallery.py       picks validation images, counts how often classes occur
charts.py        draws curves as SVG
page.py          renders all of it as one HTML file, from the Jinja templates in templates/
write_report.py  writes the file at the end of a training run, and for launch/report.py
"""
