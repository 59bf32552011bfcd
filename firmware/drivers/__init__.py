# Chips that must be told over I2C what to do before there is sound. A board file names
# one by its module here; boards/gen.py writes the names into board.py.
