"""Conversion to and from half precision, for processors without instructions for it.

LLVM then calls functions by the names that compilers' run-time libraries give them, which a Python process need not
have.  So a module that speaks of halves brings its own.

- To half: a number whose last place is worth u = 2^max(e - 10, -24), e its exponent, is rounded by adding and
  subtracting 1.5 · 2⁵² u in double precision, where the last place of the sum is worth u.
- From half: the bits below the sign, moved to where a float has them, are 2⁻¹¹² times the number.
"""

from __future__ import annotations

CONVERSIONS = """
define internal half @__truncdfhf2(double %x) nounwind {
  %bits = bitcast double %x to i64
  %sign_bit = lshr i64 %bits, 48
  %sign_word = trunc i64 %sign_bit to i16
  %sign = and i16 %sign_word, -32768
  %size_bits = and i64 %bits, 9223372036854775807
  %size = bitcast i64 %size_bits to double
  %exponent = lshr i64 %size_bits, 52
  %small = icmp ult i64 %exponent, 1009
  %at_least = select i1 %small, i64 1009, i64 %exponent
  %raised = add i64 %at_least, 42
  %power = shl i64 %raised, 52
  %magic_bits = or i64 %power, 2251799813685248
  %magic = bitcast i64 %magic_bits to double
  %sum = fadd double %size, %magic
  %rounded = fsub double %sum, %magic
  %rounded_bits = bitcast double %rounded to i64
  %shifted = lshr i64 %rounded_bits, 42
  %normal = sub i64 %shifted, 1032192
  %units = fmul double %rounded, 16777216.0
  %clear = fcmp olt double %units, 1024.0
  %counted = select i1 %clear, double %units, double 0.0
  %subnormal = fptosi double %counted to i64
  %finite = select i1 %clear, i64 %subnormal, i64 %normal
  %large = fcmp oge double %size, 65520.0
  %infinite = select i1 %large, i64 31744, i64 %finite
  %nan = fcmp uno double %x, %x
  %found = select i1 %nan, i64 32256, i64 %infinite
  %word = trunc i64 %found to i16
  %signed = or i16 %word, %sign
  %result = bitcast i16 %signed to half
  ret half %result
}

define internal half @__truncsfhf2(float %x) nounwind {
  %wide = fpext float %x to double
  %result = call half @__truncdfhf2(double %wide)
  ret half %result
}

define internal float @__extendhfsf2(half %x) nounwind {
  %word = bitcast half %x to i16
  %bits = zext i16 %word to i32
  %sign_bit = and i32 %bits, 32768
  %sign = shl i32 %sign_bit, 16
  %size_bits = and i32 %bits, 32767
  %moved = shl i32 %size_bits, 13
  %small = bitcast i32 %moved to float
  %size = fmul float %small, 0x46F0000000000000
  %finite = bitcast float %size to i32
  %special = icmp uge i32 %size_bits, 31744
  %special_bits = or i32 %moved, 2139095040
  %found = select i1 %special, i32 %special_bits, i32 %finite
  %signed = or i32 %found, %sign
  %result = bitcast i32 %signed to float
  ret float %result
}
"""


def conversions_for(text: str) -> str:
    """The functions that a module needs: all of them, or none where it does not speak of halves."""
    return CONVERSIONS if "half" in text else ""
