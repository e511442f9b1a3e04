"""The input of the surrounding request: one file per framework, and the sign for input that became code.

``request_input.py`` keeps a request's input while it is served, and checks whether a raw statement contains it beyond
one literal. A framework's file is loaded when the app imports the framework, and only adds what the app has read.
"""
