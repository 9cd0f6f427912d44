"""The coordinating program: who belongs to the federation, the server that carries its messages, and what people may do there.

Patient rows never come here. The command line and the program's assembly enter; no other room does.
"""
