"""Seconds of a usual device, for those who have calibrated none: a core of a server with AES instructions.

A device that was not calibrated is predicted as these times its factor, and said to be assumed. CKKS was measured with
TenSEAL 0.3 (SEAL 4.1) and is here alone, since no calibration of the programs' own libraries can tell it.
"""

from __future__ import annotations

from types import MappingProxyType

from huizhen.twin.cipher.pack import Law, Pack

__all__ = ["REFERENCE"]

LENGTHS_1 = (16, 1024, 16384, 262144, 2097152, 8388608)
LENGTHS_2 = (64, 4096, 262144)
LENGTHS_3 = (64, 4096, 65536, 1048576)
LENGTHS_4 = (64, 4096, 65536)
LENGTHS_5 = (512, 5120, 51200)
LENGTHS_6 = (16, 512, 5120, 51200)
LENGTHS_7 = (4096, 65536, 589824)
LENGTHS_8 = (512, 2048, 8192)
LENGTHS_9 = (1024, 8192)
LENGTHS_10 = (512, 3072)
LENGTHS_11 = (768, 3072, 12288)
LENGTHS_12 = (1536, 12288)
LENGTHS_13 = (768, 4608)
# fmt: off
MEASURED: tuple[tuple[str, str, tuple[int, ...], tuple[float, ...], float], ...] = (
    ("aes-128-gcm", "seal", LENGTHS_1, (5.59e-07, 5.59e-07, 1.50e-06, 1.95e-05, 1.73e-04, 8.01e-04,), 0.04),
    ("aes-128-gcm", "open", LENGTHS_1, (4.24e-07, 5.14e-07, 1.47e-06, 1.89e-05, 1.98e-04, 8.88e-04,), 0.06),
    ("aes-128-gcm", "keys", (32,), (4.13e-07,), 0.03),
    ("aes-256-gcm", "seal", LENGTHS_1, (4.34e-07, 5.33e-07, 1.66e-06, 2.23e-05, 1.92e-04, 9.66e-04,), 0.04),
    ("aes-256-gcm", "open", LENGTHS_1, (4.23e-07, 5.25e-07, 1.64e-06, 2.20e-05, 2.21e-04, 1.01e-03,), 0.06),
    ("aes-256-gcm", "keys", (32,), (4.09e-07,), 0.03),
    ("chacha20-poly1305", "seal", LENGTHS_1, (1.12e-06, 1.48e-06, 5.60e-06, 7.36e-05, 5.64e-04, 2.67e-03,), 0.07),
    ("chacha20-poly1305", "open", LENGTHS_1, (1.25e-06, 1.49e-06, 5.65e-06, 7.24e-05, 6.22e-04, 2.66e-03,), 0.07),
    ("chacha20-poly1305", "keys", (32,), (4.07e-07,), 0.03),
    ("sm4-gcm", "seal", LENGTHS_1, (4.51e-06, 1.15e-05, 1.21e-04, 1.89e-03, 1.56e-02, 6.66e-02,), 0.03),
    ("sm4-gcm", "open", LENGTHS_1, (4.39e-06, 1.13e-05, 1.21e-04, 1.91e-03, 1.56e-02, 6.64e-02,), 0.03),
    ("sm4-gcm", "keys", (16,), (4.13e-07,), 0.03),
    ("sm4-ctr", "seal", LENGTHS_1, (5.07e-06, 1.24e-05, 1.38e-04, 2.10e-03, 1.74e-02, 7.30e-02,), 0.04),
    ("sm4-ctr", "open", LENGTHS_1, (4.33e-06, 1.22e-05, 1.34e-04, 2.08e-03, 1.73e-02, 7.30e-02,), 0.04),
    ("sm4-ctr", "keys", (16,), (4.12e-07,), 0.07),
    ("sm4-cbc", "seal", LENGTHS_1, (4.46e-06, 1.20e-05, 1.31e-04, 2.10e-03, 1.72e-02, 7.76e-02,), 0.04),
    ("sm4-cbc", "open", LENGTHS_1, (4.03e-06, 1.12e-05, 1.20e-04, 1.92e-03, 1.55e-02, 6.88e-02,), 0.07),
    ("sm4-cbc", "keys", (16,), (4.09e-07,), 0.03),
    ("3des-cbc", "seal", LENGTHS_1, (5.98e-06, 3.73e-05, 5.27e-04, 8.53e-03, 6.90e-02, 2.82e-01,), 0.03),
    ("3des-cbc", "open", LENGTHS_1, (5.11e-06, 3.54e-05, 4.96e-04, 8.07e-03, 6.53e-02, 2.71e-01,), 0.03),
    ("3des-cbc", "keys", (16,), (4.13e-07,), 0.06),
    ("rc4", "seal", LENGTHS_1, (4.27e-06, 5.66e-06, 4.08e-05, 6.04e-04, 4.92e-03, 2.09e-02,), 0.04),
    ("rc4", "open", LENGTHS_1, (3.64e-06, 5.85e-06, 3.95e-05, 6.02e-04, 4.84e-03, 2.06e-02,), 0.03),
    ("rc4", "keys", (16,), (4.16e-07,), 0.03),
    ("sha-256", "hash", LENGTHS_1, (1.18e-06, 1.43e-06, 1.03e-05, 1.54e-04, 1.23e-03, 5.07e-03,), 0.06),
    ("sha-384", "hash", LENGTHS_1, (1.06e-06, 2.42e-06, 2.26e-05, 3.56e-04, 2.82e-03, 1.17e-02,), 0.04),
    ("sha-512", "hash", LENGTHS_1, (1.07e-06, 2.36e-06, 2.27e-05, 3.43e-04, 2.75e-03, 1.12e-02,), 0.04),
    ("sm3", "hash", LENGTHS_1, (1.11e-06, 4.00e-06, 4.65e-05, 7.41e-04, 5.99e-03, 2.43e-02,), 0.03),
    ("sha3-256", "hash", LENGTHS_1, (1.26e-06, 3.15e-06, 3.34e-05, 5.29e-04, 4.26e-03, 1.72e-02,), 0.03),
    ("sha3-384", "hash", LENGTHS_1, (1.28e-06, 3.67e-06, 4.32e-05, 6.74e-04, 5.46e-03, 2.22e-02,), 0.03),
    ("sha3-512", "hash", LENGTHS_1, (1.21e-06, 4.87e-06, 6.11e-05, 9.66e-04, 7.90e-03, 3.20e-02,), 0.03),
    ("sha-1", "hash", LENGTHS_1, (9.82e-07, 1.37e-06, 9.31e-06, 1.34e-04, 1.07e-03, 5.77e-03,), 0.07),
    ("md5", "hash", LENGTHS_1, (9.03e-07, 2.15e-06, 2.16e-05, 3.32e-04, 2.70e-03, 1.16e-02,), 0.03),
    ("x25519", "keys", (32,), (3.04e-05,), 0.26),
    ("x25519", "open", (32,), (2.95e-05,), 0.09),
    ("ecdsa-p256", "keys", (32,), (1.22e-05,), 0.48),
    ("ecdh-p256", "open", (32,), (5.12e-05,), 0.10),
    ("ml-kem-768", "keys", (1184,), (8.19e-05,), 0.05),
    ("ml-kem-768", "seal", (1088,), (1.86e-05,), 0.11),
    ("ml-kem-768", "open", (1088,), (2.86e-05,), 0.06),
    ("ed25519", "keys", (32,), (2.86e-05,), 0.13),
    ("ed25519", "sign", LENGTHS_2, (2.89e-05, 3.97e-05, 7.16e-04,), 0.04),
    ("ed25519", "verify", LENGTHS_2, (9.59e-05, 9.81e-05, 4.45e-04,), 0.04),
    ("ecdsa-p256", "sign", LENGTHS_2, (2.26e-05, 2.46e-05, 1.79e-04,), 0.13),
    ("ecdsa-p256", "verify", LENGTHS_2, (6.63e-05, 6.89e-05, 2.19e-04,), 0.09),
    ("ecdsa-p384", "sign", LENGTHS_2, (1.45e-04, 1.50e-04, 4.90e-04,), 0.07),
    ("ecdsa-p384", "verify", LENGTHS_2, (3.23e-04, 3.29e-04, 6.81e-04,), 0.04),
    ("ecdsa-p384", "keys", (48,), (1.05e-04,), 0.10),
    ("rsa-2048-oaep", "keys", (2048,), (8.74e-03,), 1.25),
    ("rsa-2048-oaep", "seal", (32,), (2.14e-05,), 0.30),
    ("rsa-2048-oaep", "open", (32,), (2.87e-04,), 0.04),
    ("rsa-3072-oaep", "keys", (3072,), (1.06e-01,), 0.03),
    ("rsa-3072-oaep", "seal", (32,), (3.99e-05,), 0.11),
    ("rsa-3072-oaep", "open", (32,), (8.60e-04,), 0.05),
    ("rsa-4096-oaep", "keys", (4096,), (1.30e-01,), 0.03),
    ("rsa-4096-oaep", "seal", (32,), (6.57e-05,), 0.06),
    ("rsa-4096-oaep", "open", (32,), (1.75e-03,), 0.04),
    ("masking-16", "mask", LENGTHS_3, (8.70e-06, 9.51e-06, 2.12e-05, 2.33e-04,), 0.19),
    ("masking-16", "unmask", LENGTHS_3, (8.24e-06, 8.87e-06, 2.10e-05, 2.23e-04,), 0.19),
    ("masking-16", "add", LENGTHS_3, (3.50e-06, 3.62e-06, 6.09e-06, 1.19e-04,), 0.12),
    ("masking-32", "mask", LENGTHS_3, (7.85e-06, 9.72e-06, 3.37e-05, 4.66e-04,), 0.16),
    ("masking-32", "unmask", LENGTHS_3, (8.44e-06, 1.02e-05, 3.48e-05, 4.89e-04,), 0.19),
    ("masking-32", "add", LENGTHS_3, (3.34e-06, 3.71e-06, 8.86e-06, 2.64e-04,), 0.18),
    ("masking-64", "mask", LENGTHS_3, (7.97e-06, 1.14e-05, 5.64e-05, 9.20e-04,), 0.13),
    ("masking-64", "unmask", LENGTHS_3, (8.43e-06, 1.20e-05, 5.59e-05, 9.14e-04,), 0.25),
    ("masking-64", "add", LENGTHS_3, (3.54e-06, 4.21e-06, 1.45e-05, 4.02e-04,), 0.10),
    ("masking-512", "mask", LENGTHS_4, (2.66e-05, 8.52e-05, 1.35e-03,), 0.08),
    ("masking-512", "unmask", LENGTHS_4, (3.10e-05, 9.70e-05, 1.58e-03,), 0.17),
    ("masking-512", "add", LENGTHS_4, (2.15e-05, 4.29e-05, 6.75e-04,), 0.07),
    ("masking-16", "seal", LENGTHS_3, (2.33e-05, 2.34e-05, 4.87e-05, 6.66e-04,), 0.17),
    ("masking-16", "open", LENGTHS_3, (7.58e-06, 8.26e-06, 2.06e-05, 3.50e-04,), 0.10),
    ("masking-32", "seal", LENGTHS_3, (2.07e-05, 2.31e-05, 1.27e-04, 2.10e-03,), 0.18),
    ("masking-32", "open", LENGTHS_3, (7.95e-06, 1.05e-05, 9.09e-05, 1.27e-03,), 0.07),
    ("masking-64", "seal", LENGTHS_3, (1.48e-07, 9.04e-07, 1.17e-05, 5.87e-04,), 0.04),
    ("masking-64", "open", LENGTHS_3, (1.44e-07, 8.99e-07, 1.17e-05, 5.91e-04,), 0.06),
    ("masking-512", "seal", LENGTHS_4, (4.81e-05, 3.04e-04, 6.49e-03,), 0.14),
    ("masking-512", "open", LENGTHS_4, (6.10e-05, 2.16e-04, 5.29e-03,), 0.10),
    ("shamir", "seal", LENGTHS_5, (9.06e-05, 1.69e-04, 9.00e-04,), 0.13),
    ("shamir", "open", LENGTHS_6, (2.28e-05, 3.05e-05, 9.77e-05, 7.98e-04,), 0.11),
    ("dp.discrete_gaussian", "mask", LENGTHS_4, (6.34e-05, 5.53e-04, 8.26e-03,), 0.08),
    ("dp.gaussian", "mask", LENGTHS_4, (7.19e-05, 5.78e-04, 8.20e-03,), 0.10),
    ("dp.discrete_laplace", "mask", LENGTHS_4, (4.10e-05, 3.50e-04, 4.94e-03,), 0.05),
    ("dp.laplace", "mask", LENGTHS_4, (4.41e-05, 3.46e-04, 5.18e-03,), 0.17),
    ("compress.quantised8", "seal", LENGTHS_7, (9.48e-05, 1.24e-04, 6.47e-04,), 0.12),
    ("compress.quantised8", "open", LENGTHS_7, (2.49e-05, 7.62e-05, 7.81e-04,), 0.14),
    ("compress.quantised10", "seal", LENGTHS_7, (7.79e-05, 1.24e-04, 7.15e-04,), 0.13),
    ("compress.quantised10", "open", LENGTHS_7, (2.47e-05, 7.66e-05, 7.79e-04,), 0.15),
    ("compress.quantised12", "seal", LENGTHS_7, (8.06e-05, 1.22e-04, 7.21e-04,), 0.19),
    ("compress.quantised12", "open", LENGTHS_7, (2.48e-05, 7.64e-05, 7.84e-04,), 0.05),
    ("compress.quantised16", "seal", LENGTHS_7, (8.14e-05, 1.23e-04, 7.19e-04,), 0.05),
    ("compress.quantised16", "open", LENGTHS_7, (2.48e-05, 7.58e-05, 7.87e-04,), 0.11),
    ("compress.shared8", "seal", LENGTHS_7, (1.09e-04, 1.31e-04, 5.60e-04,), 0.14),
    ("compress.shared8", "open", LENGTHS_7, (4.95e-05, 9.25e-05, 6.73e-04,), 0.12),
    ("compress.shared10", "seal", LENGTHS_7, (1.08e-04, 1.33e-04, 5.83e-04,), 0.06),
    ("compress.shared10", "open", LENGTHS_7, (4.96e-05, 9.27e-05, 6.63e-04,), 0.11),
    ("compress.shared12", "seal", LENGTHS_7, (1.10e-04, 1.29e-04, 5.59e-04,), 0.18),
    ("compress.shared12", "open", LENGTHS_7, (5.11e-05, 9.41e-05, 6.84e-04,), 0.18),
    ("compress.shared16", "seal", LENGTHS_7, (1.15e-04, 1.36e-04, 5.75e-04,), 0.16),
    ("compress.shared16", "open", LENGTHS_7, (4.99e-05, 9.42e-05, 7.50e-04,), 0.12),
    ("compress.top_k8", "seal", LENGTHS_7, (1.31e-04, 2.81e-04, 2.06e-03,), 0.20),
    ("compress.top_k8", "open", LENGTHS_7, (2.52e-05, 7.87e-05, 7.77e-04,), 0.24),
    ("compress.top_k10", "seal", LENGTHS_7, (1.20e-04, 2.75e-04, 1.97e-03,), 0.13),
    ("compress.top_k10", "open", LENGTHS_7, (2.48e-05, 7.60e-05, 7.72e-04,), 0.34),
    ("compress.top_k12", "seal", LENGTHS_7, (1.20e-04, 2.78e-04, 1.98e-03,), 0.08),
    ("compress.top_k12", "open", LENGTHS_7, (2.56e-05, 7.83e-05, 7.78e-04,), 0.25),
    ("compress.top_k16", "seal", LENGTHS_7, (1.19e-04, 2.78e-04, 1.97e-03,), 0.09),
    ("compress.top_k16", "open", LENGTHS_7, (2.52e-05, 7.82e-05, 7.77e-04,), 0.16),
    ("compress.low_rank8", "seal", LENGTHS_7, (9.61e-05, 9.80e-05, 3.00e-04,), 0.17),
    ("compress.low_rank8", "open", LENGTHS_7, (3.15e-05, 5.70e-05, 4.72e-04,), 0.17),
    ("compress.low_rank10", "seal", LENGTHS_7, (9.51e-05, 9.82e-05, 2.96e-04,), 0.14),
    ("compress.low_rank10", "open", LENGTHS_7, (3.22e-05, 5.45e-05, 4.64e-04,), 0.32),
    ("compress.low_rank12", "seal", LENGTHS_7, (9.19e-05, 9.95e-05, 3.04e-04,), 0.23),
    ("compress.low_rank12", "open", LENGTHS_7, (3.16e-05, 5.56e-05, 4.63e-04,), 0.28),
    ("compress.low_rank16", "seal", LENGTHS_7, (9.09e-05, 9.81e-05, 3.06e-04,), 0.09),
    ("compress.low_rank16", "open", LENGTHS_7, (3.12e-05, 5.56e-05, 4.66e-04,), 0.12),
    ("paillier-2048", "seal", LENGTHS_8, (7.35e-04, 2.71e-03, 1.01e-02,), 0.07),
    ("paillier-2048", "add", LENGTHS_9, (4.71e-05, 1.52e-04,), 0.18),
    ("paillier-2048", "open", LENGTHS_10, (3.81e-03, 2.03e-02,), 0.04),
    ("paillier-2048", "keys", (2048,), (9.83e-02,), 0.16),
    ("paillier-3072", "seal", LENGTHS_11, (1.80e-03, 6.93e-03, 2.66e-02,), 0.06),
    ("paillier-3072", "add", LENGTHS_12, (7.35e-05, 2.31e-04,), 0.15),
    ("paillier-3072", "open", LENGTHS_13, (1.18e-02, 6.52e-02,), 0.03),
    ("paillier-3072", "keys", (3072,), (2.40e-01,), 0.53),
    ("ckks-8192-60.40.60", "keys", (4096,), (1.40e-02,), 0.10),
    ("ckks-8192-60.40.60", "seal", (4096,), (3.20e-03,), 0.10),
    ("ckks-8192-60.40.60", "add", (4096,), (2.90e-05,), 0.10),
    ("ckks-8192-60.40.60", "open", (4096,), (6.70e-04,), 0.10),
)
# fmt: on
REFERENCE = Pack(
    "a usual device",
    None,
    MappingProxyType({(algorithm, step): Law(lengths, seconds, spread) for algorithm, step, lengths, seconds, spread in MEASURED}),
    MappingProxyType({"cryptography": "50", "tenseal": "0.3"}),
)
