"""What `install.py` does. Standard library only; it runs on Python 3.8 and later, since it looks
for a Python that fits the server (3.10 to 3.12) when it was started by one that does not.
"""
