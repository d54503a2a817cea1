"""Reports of results: tables of text, and pictures.

matrix            the compact matrix of a dataset, which a run prints: metrics by simulators, the primary metric first
verdict           who leads by the primary metric, in a sentence
series            a line for each series: its best try, or score and time of one fit by how it draws
footnotes         what the marks of a matrix mean, and what failed
tables            the long tables: every score with its interval, anchors and skill
comparison        a comparison of two simulators as table, sentences, CSV, JSON
grid              the whole summary of a dataset as a grid of text
markdown, latex, comma_separated
                  a summary in that format
colours           colours of sites in pictures
pictures          rollouts beside the truth: an animation, a still, single frames
page/             the report as one HTML file
"""
