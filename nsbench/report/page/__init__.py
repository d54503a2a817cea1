"""The report as one HTML file that needs nothing else.

page      the file
charts    the charts of a dataset
tries     the charts of a dataset's series: the expected best of n tries
cost_quality
          the chart of a dataset's series of one fit: score against time, by parameters of sampling
keys      the legend of charts
svg       charts as SVG text
gallery   rollouts beside the truth, packed for the page's script
gather    the data behind the pictures, read from the store
worst     the cases in which simulators do worst
escaping  text in HTML and SVG
page.css, page.js
          the page's style and script
"""
