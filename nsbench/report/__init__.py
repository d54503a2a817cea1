"""Reports of results: tables of text, and pictures.

tables            the tables at the end of a run
comparison        a comparison of two simulators as table, sentences, CSV, JSON
grid              the summary of a dataset as a grid of text
markdown, latex, comma_separated
                  a summary in that format
colours           colours of sites in pictures
pictures          rollouts beside the truth: an animation, a still, single frames
page/             the report as one HTML file
"""
