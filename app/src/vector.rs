//! What an embedding model makes of a text: a direction.
//!
//! Invariant: its length is one and its numbers are finite, so that a product of two is their cosine.

/// A direction in the space of a model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Vector(Vec<f32>);

impl Vector {
    /// The direction of these numbers; none where they have no direction.
    pub(crate) fn new(numbers: &[f32]) -> Option<Self> {
        let length = numbers.iter().map(|n| f64::from(*n).powi(2)).sum::<f64>().sqrt();
        if !length.is_finite() || length == 0.0 {
            return None;
        }
        let unit = numbers.iter().map(|n| (f64::from(*n) / length) as f32).collect();
        Some(Self(unit))
    }

    /// From -1 (opposite) to 1 (the same); none for one of another space.
    pub(crate) fn cosine(&self, other: &Self) -> Option<f64> {
        let products = self.0.iter().zip(&other.0).map(|(a, b)| f64::from(*a) * f64::from(*b));
        (self.0.len() == other.0.len()).then(|| products.sum())
    }

    /// Its numbers, four bytes each, the lowest first.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    /// What [`to_bytes`](Self::to_bytes) gave; none where the bytes are something else.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks();
        let numbers: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
        if rest.is_empty() { Self::new(&numbers) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_compared_whatever_their_length() {
        let vector = |numbers: &[f32]| Vector::new(numbers).unwrap();
        let cosine = |a: &[f32], b: &[f32]| vector(a).cosine(&vector(b));
        assert!((cosine(&[1.0, 2.0], &[10.0, 20.0]).unwrap() - 1.0).abs() < 1e-6);
        assert!(cosine(&[1.0, 0.0], &[0.0, 3.0]).unwrap().abs() < 1e-6);
        assert!((cosine(&[1.0, 0.0], &[-2.0, 0.0]).unwrap() + 1.0).abs() < 1e-6);
        assert_eq!(cosine(&[1.0], &[1.0, 0.0]), None, "of another space");
    }

    #[test]
    fn what_has_no_direction_is_no_vector() {
        for numbers in [&[][..], &[0.0, 0.0], &[f32::NAN, 1.0], &[f32::INFINITY]] {
            assert_eq!(Vector::new(numbers), None);
        }
    }

    #[test]
    fn a_vector_is_read_as_it_was_kept() {
        let vector = Vector::new(&[0.5, -3.25, 0.001]).unwrap();
        let read = Vector::from_bytes(&vector.to_bytes()).unwrap();
        assert!((read.cosine(&vector).unwrap() - 1.0).abs() < 1e-6);
        assert_eq!(Vector::from_bytes(&[0; 7]), None);
    }
}
