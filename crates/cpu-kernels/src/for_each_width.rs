/// Compiles functions for every vector width and picks one per call.
///
/// A macro, because a function cannot be told the processor features to compile another one with.
macro_rules! for_each_width {
    ($(
        $(#[$attribute:meta])*
        pub fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block
    )*) => {$(
        $(#[$attribute])*
        pub fn $name($($argument: $type),*) $(-> $result)? {
            // Inlined into each variant, so that it is compiled with that variant's features.
            #[inline(always)]
            fn body($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                use crate::width::VectorWidth;

                #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
                fn bits_512($($argument: $type),*) $(-> $result)? {
                    body($($argument),*)
                }

                #[target_feature(enable = "avx2,fma")]
                fn bits_256($($argument: $type),*) $(-> $result)? {
                    body($($argument),*)
                }

                match VectorWidth::in_use() {
                    // SAFETY: the processor has this width (`VectorWidth::of_processor`).
                    VectorWidth::Bits512 => return unsafe { bits_512($($argument),*) },
                    // SAFETY: as above.
                    VectorWidth::Bits256 => return unsafe { bits_256($($argument),*) },
                    VectorWidth::Bits128 => {}
                }
            }
            body($($argument),*)
        }
    )*};
}

pub(crate) use for_each_width;
