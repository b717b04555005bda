"""Many Ed25519 signatures checked in one equation.

A signature (R, S) of a message under the key A is valid if S·B − R − k·A vanishes, multiplied by 8.
Of n signatures we compute one sum, each term with a multiplier zᵢ of its own,

    8 · (Σ zᵢ·Rᵢ + Σ zᵢ·kᵢ·Aᵢ − (Σ zᵢ·Sᵢ) · B),

in which the 253 doublings of a single check are shared by all, the base point costs once, and zᵢ is
half as long as a scalar. If all are valid, every term is a point that 8 makes neutral, and so is the
sum. If one is not, its term times 8 is a point of the prime order L, not neutral; whatever the other
terms are, one value of zᵢ modulo L makes the sum neutral, and zᵢ is one of 2^128 < L.

**No dice.** Replicas must be reproducible, so zᵢ comes from hashing the batch: BLAKE2b over all
kᵢ (64 bytes before reduction, which bind Rᵢ, Aᵢ and the message) and Sᵢ, then BLAKE2b of that and i.
Whoever forges has to fix every R, A, message and S before she learns any z; if she changes a bit to
try again, all z are drawn anew. As long as BLAKE2b looks random each try succeeds with probability
2^-128, and each try costs her a hash at least: this is the security of the signatures themselves.
(The same step turns an interactive proof into a signature: Fiat and Shamir, 1986.) What she gains by
success is not forever, either: another replica puts other signatures into its batch.

**Torsion.** The curve has eight points that 8 makes neutral. Without the factor 8 a batch would
accept, for some multipliers, points that differ by one of these, and a single check never: two
replicas could disagree. With it, single and batch accept exactly the same (H. de Valence, "It's 255:19
AM. Do you know what your validation criteria are?", 2020; ZIP-215). The other conditions of the rule
(`harambee.crypto.signatures`) are about one signature alone and are looked at before the sum.

`limbs` computes modulo 2^255 − 19, `kernels` with points and whole equations, `batch` holds the arrays
and the memory of keys. Hashes and the reduction of scalars are libsodium's.
"""
