// A large file for the compiler: what templates.cpp does once, for many types, and as much code to optimize.
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <regex>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

constexpr int TYPES = 24;

template <int NUMBER>
struct Key {
    std::string word;
    int places[1 + NUMBER % 4];

    bool operator<(Key const &other) const
    {
        return std::tie(word, places[0]) < std::tie(other.word, other.places[0]);
    }
};

template <int NUMBER>
std::map<Key<NUMBER>, std::vector<int>> read(std::istream &from,
                                             std::unordered_map<std::string, Key<NUMBER>> &keys)
{
    std::map<Key<NUMBER>, std::vector<int>> words;
    std::string word;
    for (int place = 0; from >> word; place++) {
        Key<NUMBER> key{word, {place * NUMBER}};
        words[key].push_back(place);
        keys.emplace(word, std::move(key));
    }
    return words;
}

template <int NUMBER>
std::string listed(std::map<Key<NUMBER>, std::vector<int>> const &words)
{
    std::vector<std::tuple<double, Key<NUMBER>>> list;
    std::transform(words.begin(), words.end(), std::back_inserter(list), [](auto const &pair) {
        double const sum = std::accumulate(pair.second.begin(), pair.second.end(), NUMBER);
        return std::make_tuple(sum, pair.first);
    });
    std::stable_sort(list.begin(), list.end(), [](auto const &one, auto const &other) {
        return std::get<0>(one) < std::get<0>(other);
    });
    std::ostringstream text;
    for (auto const &[sum, key] : list)
        text << std::setw(NUMBER % 9) << sum << ' ' << key.word << '\n';
    return text.str();
}

template <int NUMBER>
std::size_t work(std::istream &from)
{
    std::unordered_map<std::string, Key<NUMBER>> keys;
    auto const words = std::make_unique<std::map<Key<NUMBER>, std::vector<int>>>(read<NUMBER>(from, keys));
    std::string const text = listed<NUMBER>(*words);
    std::regex const pattern("a+b*" + text.substr(0, NUMBER % 5));
    return std::regex_search(text, pattern) ? keys.size() : words->size();
}

template <int... NUMBERS>
std::size_t all(std::istream &from, std::integer_sequence<int, NUMBERS...>)
{
    return (work<NUMBERS>(from) + ...);
}

} // namespace

int main()
{
    std::cout << all(std::cin, std::make_integer_sequence<int, TYPES>()) << '\n';
}
