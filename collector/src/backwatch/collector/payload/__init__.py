"""Contents of replies and messages: formats, pickles, canaries, response indicators."""
