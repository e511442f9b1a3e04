"""The comparison of what an account may do with what its app was seen to do."""
