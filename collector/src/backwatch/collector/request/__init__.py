"""What came in with the request around a call: one file per framework, and the sign for input that became code.

``given.py`` keeps a request's input while it is served, and asks of a raw statement whether it stands in there beyond
one literal. A framework's file is loaded when the app imports the framework, and only tells what the app has read.
"""
