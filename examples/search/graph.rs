//! The graph over the vectors: hierarchical navigable small worlds (Malkov and Yashunin, 2016), from `hnsw_rs`.

use std::path::Path;

use hnsw_rs::api::AnnT;
use hnsw_rs::hnsw::Hnsw;
use hnsw_rs::hnswio::HnswIo;
use hnsw_rs::prelude::DistL2;

use super::common::Failure;

/// Neighbours of a point in a layer, layers, and candidates while it is built: what the paper and the crate recommend
/// for a few hundred dimensions.
const NEIGHBOURS: usize = 24;
const LAYERS: usize = 16;
const BUILD_CANDIDATES: usize = 200;
/// The fewest candidates of a search.
const SEARCH_CANDIDATES: usize = 64;

/// Where a graph's files are in the folder of an index: this name and these endings.
const NAME: &str = "passages";
pub(crate) const FILES: [&str; 2] = ["passages.hnsw.graph", "passages.hnsw.data"];

/// Vectors of unit length by number, and who is near whom.
pub(crate) struct Graph {
    // On vectors of unit length this distance orders as the cosine does. The crate's own dot product aborts where
    // rounding makes a cosine larger than 1.
    points: Hnsw<'static, f32, DistL2>,
}

impl Graph {
    /// The graph of these vectors; the first has number 0.
    pub(crate) fn build(vectors: &[Vec<f32>]) -> Self {
        let mut points = Hnsw::new(NEIGHBOURS, vectors.len().max(1), LAYERS, BUILD_CANDIDATES, DistL2);
        let numbered: Vec<(&Vec<f32>, usize)> = vectors.iter().zip(0..).collect();
        points.parallel_insert(&numbered);
        points.set_searching_mode(true);
        Self { points }
    }

    /// The numbers of the `count` vectors nearest to `vector`, of unit length too, with the cosine to each; nearest
    /// first.
    pub(crate) fn nearest(&self, vector: &[f32], count: usize) -> Vec<(usize, f32)> {
        if self.len() == 0 {
            return Vec::new();
        }
        let candidates = SEARCH_CANDIDATES.max(4 * count);
        let mut found: Vec<(usize, f32)> = self
            .points
            .search(vector, count, candidates)
            .iter()
            .map(|near| (near.get_origin_id(), 1.0 - near.get_distance().powi(2) / 2.0))
            .collect();
        // Equals come in the order of their numbers, however the graph was built.
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found
    }

    /// How many vectors there are.
    pub(crate) fn len(&self) -> usize {
        self.points.get_nb_point()
    }

    /// The vectors by number.
    pub(crate) fn vectors(&self) -> Vec<Vec<f32>> {
        let mut numbered: Vec<(usize, Vec<f32>)> = self
            .points
            .get_point_indexation()
            .into_iter()
            .map(|point| (point.get_origin_id(), point.get_v().to_vec()))
            .collect();
        numbered.sort_by_key(|(number, _)| *number);
        numbered.into_iter().map(|(_, vector)| vector).collect()
    }

    /// Writes [`FILES`] into a folder.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), Failure> {
        let name =
            self.points.file_dump(folder, NAME).map_err(|error| format!("{}: {error}", folder.display()))?;
        if name == NAME { Ok(()) } else { Err(format!("{}: files are in the way", folder.display()).into()) }
    }

    /// Reads what [`save`](Self::save) wrote. The crate trusts its files: they must be known to be whole.
    pub(crate) fn load(folder: &Path) -> Result<Self, Failure> {
        // What is loaded borrows from the reader even where nothing is mapped. A program loads one index.
        let reader = Box::leak(Box::new(HnswIo::new(folder, NAME)));
        let mut points: Hnsw<'static, f32, DistL2> =
            reader.load_hnsw().map_err(|error| format!("{}: {error}", folder.display()))?;
        points.set_searching_mode(true);
        Ok(Self { points })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unit vectors in a circle's plane, a degree apart.
    fn circle(count: usize) -> Vec<Vec<f32>> {
        (0..count).map(|at| (at as f32).to_radians().sin_cos()).map(|(y, x)| vec![x, y, 0.0]).collect()
    }

    #[test]
    fn the_nearest_are_those_of_a_full_search() {
        let graph = Graph::build(&circle(360));
        for (asked, expected) in [(0.2f32, [0, 1, 359]), (180.6, [181, 180, 182])] {
            let (y, x) = asked.to_radians().sin_cos();
            let found = graph.nearest(&[x, y, 0.0], 3);
            assert_eq!(found.iter().map(|hit| hit.0).collect::<Vec<_>>(), expected);
            let cosine = (asked - expected[0] as f32).to_radians().cos();
            assert!((found[0].1 - cosine).abs() < 1e-5, "{found:?}");
        }
        assert_eq!(graph.vectors(), circle(360));
        assert_eq!(Graph::build(&[]).nearest(&[1.0], 3), []);
    }
}
