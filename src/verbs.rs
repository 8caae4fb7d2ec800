//! The verbs of whatever requests begin at: a client, a scope, a debounced key.

/// Makes a method for each verb, of a type with a method `wrap(&self, Fetch) -> RequestBuilder`.
macro_rules! verbs {
    () => {
        /// A GET of `url`.
        pub fn get(&self, url: impl AsRef<str>) -> crate::request::RequestBuilder {
            self.wrap(spillgate_actors::fetch::Fetch::get(url))
        }

        /// A HEAD of `url`.
        pub fn head(&self, url: impl AsRef<str>) -> crate::request::RequestBuilder {
            self.wrap(spillgate_actors::fetch::Fetch::head(url))
        }

        /// A POST to `url`.
        pub fn post(&self, url: impl AsRef<str>) -> crate::request::RequestBuilder {
            self.wrap(spillgate_actors::fetch::Fetch::post(url))
        }

        /// A PUT to `url`.
        pub fn put(&self, url: impl AsRef<str>) -> crate::request::RequestBuilder {
            self.wrap(spillgate_actors::fetch::Fetch::put(url))
        }

        /// A PATCH of `url`.
        pub fn patch(&self, url: impl AsRef<str>) -> crate::request::RequestBuilder {
            self.wrap(spillgate_actors::fetch::Fetch::patch(url))
        }

        /// A DELETE of `url`.
        pub fn delete(&self, url: impl AsRef<str>) -> crate::request::RequestBuilder {
            self.wrap(spillgate_actors::fetch::Fetch::delete(url))
        }

        /// A request of any method.
        pub fn request(
            &self,
            method: http::Method,
            url: impl AsRef<str>,
        ) -> crate::request::RequestBuilder {
            self.wrap(spillgate_actors::fetch::Fetch::request(method, url))
        }
    };
}
