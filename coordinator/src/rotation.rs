//! Fair rotation: which project is asked next. Pure.

use std::collections::VecDeque;

use api_client::ProjectId;

/// The projects in the order in which they are asked; one that gave a job goes to the end.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    queue: VecDeque<Option<ProjectId>>,
}

impl Rotation {
    /// These projects in turn, or any project (`None` on the wire) when there are none.
    pub(crate) fn new(projects: &[ProjectId]) -> Self {
        let queue = if projects.is_empty() {
            VecDeque::from([None])
        } else {
            projects.iter().copied().map(Some).collect()
        };
        Self { queue }
    }

    /// All projects, the one that waited longest first.
    pub(crate) fn order(&self) -> Vec<Option<ProjectId>> {
        self.queue.iter().copied().collect()
    }

    /// Takes note that a project gave a job: all others come before it.
    pub(crate) fn served(&mut self, project: Option<ProjectId>) {
        if let Some(at) = self.queue.iter().position(|queued| *queued == project) {
            self.queue.remove(at);
            self.queue.push_back(project);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_projects_any_project_is_asked_for() {
        assert_eq!(Rotation::new(&[]).order(), [None]);
    }

    proptest! {
        #[test]
        fn projects_that_always_have_jobs_are_served_alike(count in 1usize..8, claims in 1usize..100) {
            let projects: Vec<_> = (0..count).map(|_| ProjectId::random()).collect();
            let mut rotation = Rotation::new(&projects);
            let mut served: HashMap<_, usize> = HashMap::new();
            for _ in 0..claims {
                let next = rotation.order()[0];
                *served.entry(next).or_default() += 1;
                rotation.served(next);
            }
            let most = served.values().max().copied().unwrap_or(0);
            let least = projects.iter().map(|p| served.get(&Some(*p)).copied().unwrap_or(0)).min();
            prop_assert!(most - least.unwrap_or(0) <= 1);
        }

        #[test]
        fn no_project_is_lost_by_being_served(picks in proptest::collection::vec(0usize..4, 0..50)) {
            let projects: Vec<_> = (0..4).map(|_| ProjectId::random()).collect();
            let mut rotation = Rotation::new(&projects);
            for pick in picks {
                rotation.served(Some(projects[pick]));
            }
            let mut left: Vec<_> = rotation.order().into_iter().flatten().collect();
            left.sort();
            let mut all = projects;
            all.sort();
            prop_assert_eq!(left, all);
        }
    }
}
