"""What a board is, as data, and what turns it into a build: nobody but tools imports this."""
