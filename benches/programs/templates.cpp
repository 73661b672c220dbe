// What the compiler works on: many standard headers, and templates of them.
#include <algorithm>
#include <functional>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <numeric>
#include <regex>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace {

using Words = std::map<std::string, std::vector<int>>;
using Weights = std::unordered_map<std::string, double>;

Words read(std::istream &from, Weights &weights)
{
    Words words;
    std::string word;
    for (int place = 0; from >> word; place++) {
        words[word].push_back(place);
        weights[word] += 0.5;
    }
    return words;
}

std::vector<std::tuple<double, std::string>> sorted(Weights const &weights)
{
    std::vector<std::tuple<double, std::string>> list;
    std::transform(weights.begin(), weights.end(), std::back_inserter(list),
                   [](auto const &pair) { return std::make_tuple(pair.second, pair.first); });
    std::stable_sort(list.begin(), list.end(), std::greater<>());
    return list;
}

bool is_number(std::string const &word)
{
    std::regex_traits<char> traits;
    return std::all_of(word.begin(), word.end(),
                       [&](char letter) { return traits.value(letter, 10) >= 0; });
}

} // namespace

int main()
{
    Weights weights;
    Words const words = read(std::cin, weights);
    for (auto const &[weight, word] : sorted(weights)) {
        auto const &places = words.at(word);
        if (!is_number(word))
            std::cout << std::setw(8) << weight << ' ' << word << ' '
                      << std::accumulate(places.begin(), places.end(), 0) << '\n';
    }
}
