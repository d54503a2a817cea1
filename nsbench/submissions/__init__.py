"""Rollouts made elsewhere: cases handed out, files taken in, scored as any other.

cases         the test cases, written to a file for a simulator elsewhere
reading       a file of rollouts, read and checked
strict_hdf5   HDF5 files from anywhere, read with care
scoring       a submission, taken in and scored among a suite's results
"""
