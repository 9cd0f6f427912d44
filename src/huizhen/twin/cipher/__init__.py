"""What protections and ciphers take: bytes exactly, seconds from a calibration, and stand-ins that no real program takes for real.

    profile, profiles        what is known of each algorithm, with its source
    layout, packets, ckks, compressed    sizes
    composition, pack, model, reference  seconds
    works, ownworks, calibration         what is run to calibrate a device; the only ones that draw randomness and read a clock
    standin                  ciphertexts that never were

Programs ask the model; who simulates hands stand-ins over. Nothing here protects anything.
"""
