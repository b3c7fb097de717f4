//! Vectors of `f32`, one type per width, so that a kernel is written once.

/// Vectors whose lanes are added up together by [`Lanes::sums`].
pub(crate) const SUMS: usize = 4;

/// Some values side by side.
pub(crate) trait Lanes: Copy {
    const COUNT: usize;

    /// # Safety
    ///
    /// The processor has these vectors; so for all functions here.
    unsafe fn zero() -> Self;

    /// The same value in every lane.
    unsafe fn splat(value: f32) -> Self;

    /// # Safety
    ///
    /// `from` points to [`COUNT`](Self::COUNT) values; so for all functions that load or store.
    unsafe fn load(from: *const f32) -> Self;

    /// The upper halves of as many `f32`.
    unsafe fn load_bf16(from: *const u16) -> Self;

    unsafe fn load_i8(from: *const i8) -> Self;

    unsafe fn store(self, to: *mut f32);

    /// `self + a * b`
    unsafe fn add_product(self, a: Self, b: Self) -> Self;

    /// The sums of the lanes of each.
    unsafe fn sums(of: [Self; SUMS]) -> [f32; SUMS];

    /// Asks for the line of memory, which need not exist.
    unsafe fn prefetch(line: *const u8);
}

/// What every processor has.
impl Lanes for [f32; 4] {
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; 4]
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: what the caller promises.
        unsafe { from.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Self {
        // SAFETY: what the caller promises.
        let halves = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
        halves.map(|half| f32::from_bits(u32::from(half) << 16))
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: what the caller promises.
        unsafe { from.cast::<[i8; 4]>().read_unaligned() }.map(f32::from)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: what the caller promises.
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|lane| self[lane] + a[lane] * b[lane])
    }

    #[inline(always)]
    unsafe fn sums(of: [Self; SUMS]) -> [f32; SUMS] {
        of.map(|lanes| (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]))
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const u8) {}
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Lanes, SUMS};

    /// The sums of four vectors of four.
    ///
    /// # Safety
    ///
    /// The processor has AVX.
    #[inline(always)]
    unsafe fn sums_of_four([a, b, c, d]: [__m128; SUMS]) -> [f32; SUMS] {
        // SAFETY: what the caller promises.
        unsafe {
            let ab = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
            let cd = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
            let sums = _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
            let mut out = [0.0; SUMS];
            _mm_storeu_ps(out.as_mut_ptr(), sums);
            out
        }
    }

    /// # Safety
    ///
    /// The processor has AVX.
    #[inline(always)]
    unsafe fn halved(x: __m256) -> __m128 {
        // SAFETY: what the caller promises.
        unsafe { _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x)) }
    }

    impl Lanes for __m512 {
        const COUNT: usize = 16;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: what the caller promises, here and below.
            unsafe { _mm512_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn load_bf16(from: *const u16) -> Self {
            // SAFETY: as above.
            unsafe {
                let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves))
            }
        }

        #[inline(always)]
        unsafe fn load_i8(from: *const i8) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as above.
            unsafe { _mm512_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_fmadd_ps(a, b, self) }
        }

        #[inline(always)]
        unsafe fn sums(of: [Self; SUMS]) -> [f32; SUMS] {
            // SAFETY: as above.
            unsafe {
                sums_of_four(of.map(|x| {
                    let high = _mm512_extractf32x8_ps::<1>(x);
                    halved(_mm256_add_ps(_mm512_castps512_ps256(x), high))
                }))
            }
        }

        #[inline(always)]
        unsafe fn prefetch(line: *const u8) {
            // SAFETY: as above; any address may be asked for.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
        }
    }

    impl Lanes for __m256 {
        const COUNT: usize = 8;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: what the caller promises, here and below.
            unsafe { _mm256_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn load_bf16(from: *const u16) -> Self {
            // SAFETY: as above.
            unsafe {
                let halves = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves))
            }
        }

        #[inline(always)]
        unsafe fn load_i8(from: *const i8) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as above.
            unsafe { _mm256_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm256_fmadd_ps(a, b, self) }
        }

        #[inline(always)]
        unsafe fn sums(of: [Self; SUMS]) -> [f32; SUMS] {
            // SAFETY: as above.
            unsafe { sums_of_four(of.map(|x| halved(x))) }
        }

        #[inline(always)]
        unsafe fn prefetch(line: *const u8) {
            // SAFETY: as above; any address may be asked for.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
        }
    }
}
