"""The program inside a hospital: its folder, its keys, and its part in studies. Only here are patient rows opened.

The command line and the program's assembly enter; no other room does.
"""
