/* The look's own expressions for Alpine's build without eval: what that build can't read, said in other words. */
"use strict";

document.addEventListener("alpine:init", () => {
  /* Global functions of the look, which this build does not see. */
  for (const name of ["theme", "searchForm", "searchDropdown", "searchCommand"]) {
    Alpine.data(name, window[name]);
  }

  /* The body of every page: which tab and which side bar is open. */
  Alpine.data("consolePage", (tab) => ({
    activeTab: tab ? getCurrentTab() || tab : "",
    sidebarMobileOpen: false,
    sidebarDesktopOpen: localStorage.getItem("sidebarDesktopOpen") !== "0",
    window: { location: { pathname: location.pathname, search: location.search } },
    init() {
      this.$watch("sidebarDesktopOpen", (value) => localStorage.setItem("sidebarDesktopOpen", value ? "1" : "0"));
    },
    clearSearch(input) {
      if (input.value === "") {
        input.blur();
      } else {
        input.value = "";
      }
    },
  }));

  /* One statement each, and styles as objects: a text would become a style attribute. */
  const said = new Map([
    [
      "sidebarDesktopOpen = !sidebarDesktopOpen; localStorage.setItem('sidebarDesktopOpen', sidebarDesktopOpen ? '1' : '0');",
      "sidebarDesktopOpen = !sidebarDesktopOpen",
    ],
    ["openSearchResults = true; currentIndex = 0", "[openSearchResults = true, currentIndex = 0]"],
    [
      "openSearchResults = false; if ($refs.searchInput.value === '') { $refs.searchInput.blur() } else { $refs.searchInput.value = '' }",
      "[openSearchResults = false, clearSearch($refs.searchInput)]",
    ],
    ["'width: ' + changeListWidth + 'px'", "{ width: changeListWidth + 'px' }"],
  ]);
  Alpine.mapAttributes(({ name, value }) => ({ name, value: said.get(value) || value }));
});
