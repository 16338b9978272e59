//! Dense values on the host: a shape, an element type, and the elements in row-major order.
//!
//! Images are `[n, h, w, c]` everywhere inside the crate; other layouts exist only in [`crate::format`].

/// Element types of values. Gradients and parameters are always [`DType::F32`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// 32-bit floating point (float64 in the reference that verifies).
    F32,
    /// Unsigned 32-bit integers: labels, indices, counters.
    U32,
    /// Bytes: the resident data set.
    U8,
}

impl DType {
    /// Bytes of one element on a device.
    pub fn size(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::U8 => 1,
        }
    }
}

/// Shape and element type of a value, without the value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Spec {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
}

impl Spec {
    /// Floats of the given shape.
    pub fn f32(shape: impl Into<Vec<usize>>) -> Self {
        Self { shape: shape.into(), dtype: DType::F32 }
    }

    /// Unsigned integers of the given shape.
    pub fn u32(shape: impl Into<Vec<usize>>) -> Self {
        Self { shape: shape.into(), dtype: DType::U32 }
    }

    /// Bytes of the given shape.
    pub fn u8(shape: impl Into<Vec<usize>>) -> Self {
        Self { shape: shape.into(), dtype: DType::U8 }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is no element at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on a device.
    pub fn bytes(&self) -> usize {
        self.len() * self.dtype.size()
    }
}

/// The elements of a [`Tensor`]; floats are `f32` in a CPU session and `f64` in the verifying reference.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements<T> {
    /// Floating-point elements.
    Float(Vec<T>),
    /// Integer elements.
    U32(Vec<u32>),
    /// Byte elements.
    U8(Vec<u8>),
}

/// A dense value on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor<T = f32> {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Elements in row-major order; their number is the product of `shape`.
    pub elements: Elements<T>,
}

impl<T> Tensor<T> {
    /// A float tensor. Panics if the number of elements is not the product of the shape.
    pub fn float(shape: impl Into<Vec<usize>>, data: Vec<T>) -> Self {
        Self::new(shape.into(), Elements::Float(data))
    }

    /// An integer tensor. Panics if the number of elements is not the product of the shape.
    pub fn u32(shape: impl Into<Vec<usize>>, data: Vec<u32>) -> Self {
        Self::new(shape.into(), Elements::U32(data))
    }

    /// A byte tensor. Panics if the number of elements is not the product of the shape.
    pub fn u8(shape: impl Into<Vec<usize>>, data: Vec<u8>) -> Self {
        Self::new(shape.into(), Elements::U8(data))
    }

    /// A tensor of given elements. Panics if their number is not the product of the shape.
    pub fn new(shape: Vec<usize>, elements: Elements<T>) -> Self {
        let tensor = Self { shape, elements };
        let wanted: usize = tensor.shape.iter().product();
        assert_eq!(wanted, tensor.len(), "shape {:?} does not fit its elements", tensor.shape);
        tensor
    }

    /// The same with other floats; integers stay what they are.
    pub fn cast<U>(&self, convert: impl Fn(T) -> U) -> Tensor<U>
    where
        T: Copy,
    {
        let elements = match &self.elements {
            Elements::Float(v) => Elements::Float(v.iter().map(|&x| convert(x)).collect()),
            Elements::U32(v) => Elements::U32(v.clone()),
            Elements::U8(v) => Elements::U8(v.clone()),
        };
        Tensor { shape: self.shape.clone(), elements }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match &self.elements {
            Elements::Float(v) => v.len(),
            Elements::U32(v) => v.len(),
            Elements::U8(v) => v.len(),
        }
    }

    /// Whether there is no element at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape and element type.
    pub fn spec(&self) -> Spec {
        let dtype = match self.elements {
            Elements::Float(_) => DType::F32,
            Elements::U32(_) => DType::U32,
            Elements::U8(_) => DType::U8,
        };
        Spec { shape: self.shape.clone(), dtype }
    }

    /// The elements of a float tensor. Panics for other element types: plans are typed, so that is a bug here.
    pub fn floats(&self) -> &[T] {
        match &self.elements {
            Elements::Float(v) => v,
            _ => panic!("expected a float tensor, found {:?}", self.spec().dtype),
        }
    }

    /// The elements of an integer tensor. Panics for other element types.
    pub fn u32s(&self) -> &[u32] {
        match &self.elements {
            Elements::U32(v) => v,
            _ => panic!("expected an integer tensor, found {:?}", self.spec().dtype),
        }
    }

    /// The elements of a byte tensor. Panics for other element types.
    pub fn u8s(&self) -> &[u8] {
        match &self.elements {
            Elements::U8(v) => v,
            _ => panic!("expected a byte tensor, found {:?}", self.spec().dtype),
        }
    }
}

impl Tensor {
    /// The same in the verifying float type, which is exact.
    pub fn widen(&self) -> Tensor<f64> {
        self.cast(f64::from)
    }

    /// Whether every bit is the same: NaN equals NaN, and 0 is not −0.
    pub fn same_bits(&self, other: &Self) -> bool {
        match (&self.elements, &other.elements) {
            (Elements::Float(a), Elements::Float(b)) => a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits())),
            (a, b) => a == b,
        }
    }
}

impl Tensor<f64> {
    /// The same, rounded to what a device holds.
    pub fn narrow(&self) -> Tensor {
        self.cast(|x| x as f32)
    }
}
