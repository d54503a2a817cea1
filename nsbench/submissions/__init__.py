"""Rollouts made elsewhere: cases handed out, files taken in, scored as any other.

cases         what is to be simulated, written to a file
reading       a file of rollouts, read and checked
strict_hdf5   HDF5 files from anywhere, read with care
scoring       rollouts take their place among a suite's results
"""
