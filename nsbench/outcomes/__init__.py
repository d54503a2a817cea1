"""The results of a suite, and what may be claimed from them.

file         results.jsonl: rows, appended as trials end
frame        a suite's results as a pandas frame
stored       the finished rows of a suite, and a reader of the artifacts behind them
pairing      scores by independent unit of the test data
fits         the variance between fits, learned also from the other simulators
crossed      crossed random effects of fits and cases: the error of a difference
statistics   paired comparisons: difference, ratio, intervals, tests of difference and equivalence
families     p-values corrected for how many tests were made, by max-T
power        how many fits would decide
comparison   simulators held against a baseline, paired: the primary metric decides
ties         the simulators that cannot be told from the best
summary      the results of a suite in one table
best_of      the expected best of n tries, for n up to all of them
series       simulators that are tries of one thing, such as those of a grid, and the best of them
cost_quality the scores of one fit by how it draws, against the time that it takes
hardware     the trials whose costs were measured on other hardware than most
"""
